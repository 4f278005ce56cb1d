"""Simulated providers: SMS, Alipay, and service clients without a console.

`sms` and `alipay` implement the interfaces of `app.auth`. `router` is the providers' own side: a phone's messages and
Alipay's page.
"""
