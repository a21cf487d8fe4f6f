"""The adapter: every call into ComfyUI is made here. Node files hold schemas and call these functions."""
