"""A real ComfyUI for demo, tests and benchmarks: fetched, started, driven and listened to."""
