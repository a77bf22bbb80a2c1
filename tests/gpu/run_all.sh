#!/usr/bin/env bash
# Everything that wants a CUDA device, from the project's root, with the tables at the end:
#
#     tests/gpu/run_all.sh [--tiny] [WHEELS]
#
# doctor, the tests marked gpu, a run of the drawn sample that is interrupted and gone on with, and
# the benchmarks. WHEELS is a folder of wheels for what the machine lacks, which needs no network then.
# What is said goes to $OUT (default: a new folder), the tables also to $OUT/table.txt. Exit 1 if a
# part failed; the others are done all the same. --tiny goes through all of it on a CPU.
set -u
cd "$(dirname "$0")/../.."
tiny= wheels=
for word in "$@"; do if [ "$word" = --tiny ]; then tiny=--tiny; else wheels=$word; fi; done
python=${PYTHON:-python3}
OUT=${OUT:-$(mktemp -d)}; work=$(mktemp -d); table=$OUT/table.txt; failed=0; began=$SECONDS
mkdir -p "$OUT"; : > "$table"
trap 'rm -rf "$work"' EXIT
export NO_ALBUMENTATIONS_UPDATE=1 PYTHONUNBUFFERED=1

cli=("$python" -c 'from paw_stack.cli import main; main()')
note() { echo "[$((SECONDS - began)) s] $*" | tee -a "$table"; }
part() { # NAME SECONDS COMMAND...: its output to $OUT/NAME.txt
  local name=$1 seconds=$2 code; shift 2
  note "$name"
  timeout "$seconds" "$@" > "$OUT/$name.txt" 2> "$OUT/$name.err"; code=$?
  [ $code = 0 ] && return
  failed=1; note "$name: exit $code, see $OUT/$name.err"; tail -n 3 "$OUT/$name.err" | tee -a "$table"
}
if [ -n "$wheels" ]; then
  "$python" -m pip install --quiet --no-index --no-deps --upgrade --target "$work/site" "$wheels"/*.whl ||
    exit 1
  export PYTHONPATH=$work/site${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

part doctor 120 "${cli[@]}" doctor $([ -z "$tiny" ] || echo --no-speed)
grep -E 'GPU|fine-tuning|embeddings|svr|product|Swin' "$OUT/doctor.txt" | tee -a "$table"

# Without a device they skip, which is no failure.
part tests ${TESTS_SECONDS:-300} "$python" -m pytest -m gpu -n 0 -p no:cacheprovider tests/gpu
grep -E '^(FAILED|ERROR)|passed|failed|skipped' "$OUT/tests.txt" | tee -a "$table"

n=1200 device=cuda more='' epochs=4
[ -n "$tiny" ] && n=60 device=cpu epochs=2 more=', image_size: 32,
  model_args: {window_size: 4, embed_dim: 16, depths: [1, 1], num_heads: [1, 2]}'
"${cli[@]}" sample "$work/pets" --labelled $n --test 40 > "$OUT/sample.txt" 2>&1 || failed=1
cat > "$work/sample.yaml" <<YAML
run: {name: sample, root: $work/runs}
data: {root: $work/pets, target: Pawpularity, bounds: [1, 100]}
folds: {n: 2}
backbones: [{name: swin, model: swin_tiny_patch4_window7_224, pretrained: false$more}]
finetune: {epochs: $epochs, batch_size: 32, learning_rate: 0.0003, warmup: 0.1, ema: 0.99}
compute: {device: $device}
heads: {svr: {C: 10}, ridge: {}}
YAML
part check 120 "${cli[@]}" check "$work/sample.yaml" --set compute.device=auto
grep 'fine-tuning' "$OUT/check.txt" | tee -a "$table"
# Killed as soon as an epoch is kept, or ended before that: either way the next call goes on.
"${cli[@]}" run "$work/sample.yaml" > "$OUT/interrupted.txt" 2>&1 &
first=$!
while kill -0 $first 2> /dev/null && ! ls "$work"/runs/sample/finetune/swin/*/*.safetensors > /dev/null 2>&1; do
  sleep 0.2
done
kill -9 $first 2> /dev/null; wait $first 2> /dev/null
part run 300 "${cli[@]}" run "$work/sample.yaml"
grep -E 'goes on|epochs, fit|^embed|blend' "$OUT/run.txt" | cut -c1-160 | tee -a "$table"

part bench_gpu ${BENCH_SECONDS:-360} "$python" tests/benchmarks/bench_gpu.py $tiny
cat "$OUT/bench_gpu.txt" >> "$table"
part bench_gpu_heads ${HEADS_SECONDS:-180} "$python" tests/benchmarks/bench_gpu_heads.py $tiny
cat "$OUT/bench_gpu_heads.txt" >> "$table"
note "done; everything is in $OUT"
echo; cat "$table"
exit $failed
