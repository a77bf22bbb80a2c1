"""A finished run with all that it needs to predict elsewhere, without a network.

cut_run.py        the run, cut down to what predicting needs
pretrained.py     its frozen networks' weights, and what tells their architecture
half.py           what float16 weights change
base.py           what is installed where the bundle goes
distributions.py  what a package needs, and its licence
own_wheel.py      this package as a wheel
wheels.py         wheels of what the base lacks, by pip
manifest.py       sizes, digests, versions, licences; the texts that lie beside
"""
