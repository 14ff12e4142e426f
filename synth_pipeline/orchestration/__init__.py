"""The Dagster layer: assets, checks, schedules and sensors around the stage functions of `synth_pipeline.pipeline`.

Thin by rule: a body calls one stage function and turns its result into what the UI shows. Nothing here computes, and
nothing outside this package (and `synth_pipeline.definitions`) imports dagster. `build.build_definitions` makes the code
location; tests call it with their own `Settings`.
"""
