"""From a folder of recordings to batches: corpora -> clips -> manifest -> batches.

`corpora/` finds clips on disk, one file per data set; `clips` says what a clip is and which are fit to train on;
`manifest` keeps them as a lhotse CutSet; `speech` makes batches, with what `features` computes and `cache` keeps.
"""
