"""Providers of real names, each a client of the provider's documented protocol over httpx.

The providers' own SDKs are not used: both block the event loop. Alibaba's for Alipay (`alipay-sdk-python`) also pins
pycryptodome and ignores the certificate mode of answers; that of Tencent Cloud is for two calls of JSON.
"""
