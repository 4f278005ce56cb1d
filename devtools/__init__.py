"""What development has and production has not: the image leaves this folder out, and `app` imports nothing of it.

`app/core/plugins.py` is the door. `phone` plays the app in a browser; `providers` simulates SMS and Alipay;
`live_examples` fills the docs explorer's examples from the database; `demo` plays the main job over HTTP and knows
nothing of `app`.
"""
