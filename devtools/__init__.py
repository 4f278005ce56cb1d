"""Development tools. The production image leaves this directory out, and `app` imports nothing from it.

`app/core/plugins.py` loads it by name. `phone` simulates the app in a browser; `providers` simulates SMS and Alipay;
`live_examples` fills the docs explorer's examples from the database; `demo` plays the main job over HTTP and imports
nothing from `app`.
"""
