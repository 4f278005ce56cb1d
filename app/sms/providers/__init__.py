"""Gateways of SMS providers, each a client of the provider's documented protocol over httpx.

The providers' own SDKs are not used: they block the event loop (Tencent Cloud), or bring a second HTTP client and
twenty packages for one call (Alibaba Cloud).
"""
