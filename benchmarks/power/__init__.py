"""The parts of ``benchmarks.drift_power``: does the drift rule catch faults and nothing else?

====================  ==============================================================================
`subject`             the values: a model, and the ways in which it can be built
`models`              the models, one file for each family
`faults`              what is done to a gradient to break it, as data
`configurations`      what must change nothing: threads, processors, libraries, spellings
`observed`            a gradient as plain arrays, and how large a change of it is
`rules`               what other tools compare, given the same gradients
`worker`              one process: every model in one configuration, every rule asked
`rows`                what a worker found, as lines of JSON
`table`               rows to Markdown
====================  ==============================================================================

Only `models` imports a framework. `worker` asks the package through its public path: `record` makes
the baseline, which goes through its own JSON, `measure` and `compare` give the verdict.
"""
