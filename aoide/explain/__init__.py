"""Records what a model does step by step, and makes the page that shows it: `aoide explain`, docs/explaining.md.

recorder    `with aoide.trace(model) as trace:` what is kept while a model works
gather      what was recorded -> a `Trace`: steps, metrics, paths, what is inside
subjects    what `aoide explain` can run by name: voices, singers, converters, vocoders, codecs, and runs
traces      the file format .aoide
page        a trace or several as one HTML file

Handles, durations, pitch and energy of a voice that are edited and spoken again, are in aoide/generate/handles.py.
"""
