"""How long users of the page wait, alone and beside one who brings slow photos.

    python tests/benchmarks/bench_page.py [--users 8] [--rounds 5]

Makes a small run, serves its page and lets so many users score a photo each, again and again, all
at once. Then one of them brings PNGs of 12,000 x 12,000 pixels in place of photos, which take half
a minute to unpack, one after the other until the rest are done. Told are the medians of the others'
waits; it is promised that the second is at most twice the first.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.commands import FROZEN, call, served, write_config

from paw_stack.data.synthetic.competition import write_sample

SIDE = 12_000  # pixels of the slow photo: below the limit of 200 megapixels, in 0.5 MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "photos", 60, 20, seed=1)
        backbone = {**FROZEN, "image_size": 64}
        config = write_config(folder, folder / "photos", backbones=[backbone], heads={"ridge": {}})
        call("run", config)
        slow = folder / "slow.png"
        Image.new("RGB", (SIDE, SIDE), (90, 60, 30)).save(slow, compress_level=1)
        photos = sorted((folder / "photos" / "test").iterdir())
        with served(folder / "runs" / "tiny") as (url, _):
            scored(url, photos[0])  # loads the networks
            alone = waits(url, photos[: chosen.users], chosen.rounds)
            stop, answers = threading.Event(), []
            hostile = threading.Thread(target=keep_asking, args=(url, slow, stop, answers))
            hostile.start()
            beside = waits(url, photos[1 : chosen.users], chosen.rounds)
            stop.set()
            hostile.join()
    one, two = statistics.median(alone), statistics.median(beside)
    print(
        f"{chosen.users} users, {chosen.rounds} photos each: median wait {one:.2f} s,"
        f" longest {max(alone):.2f} s"
    )
    print(
        f"one of them hostile ({len(answers)} slow photos, {statistics.mean(answers):.1f} s each):"
        f" the others' median {two:.2f} s, longest {max(beside):.2f} s ({two / one:.2f} times)"
    )


def scored(url: str, photo: Path, rounds: int = 1) -> list[float]:
    """Seconds that a user waits for each score of the same photo."""
    from gradio_client import Client, handle_file

    found = []
    client = Client(url, verbose=False, download_files=False)
    for _ in range(rounds):
        start = time.perf_counter()
        try:
            client.predict(handle_file(photo), api_name="/score")
        except Exception as error:  # a slow photo may be refused
            print(f"{photo.name}: {str(error)[:100]}")
        found.append(time.perf_counter() - start)
    client.close()
    return found


def waits(url: str, photos: list[Path], rounds: int) -> list[float]:
    """Of all users, a photo each, who ask at the same time."""
    found: list[float] = []
    people = [
        threading.Thread(target=lambda photo=photo: found.extend(scored(url, photo, rounds)))
        for photo in photos
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return found


def keep_asking(url: str, photo: Path, stop: threading.Event, answers: list[float]) -> None:
    while not stop.is_set():
        answers += scored(url, photo)


if __name__ == "__main__":
    main()
