"""The simulated providers: SMS, Alipay, and service clients without a console.

`sms` and `alipay` implement the interfaces of `app.auth`; `router` has the providers' own side: a phone's messages,
Alipay's page.
"""
