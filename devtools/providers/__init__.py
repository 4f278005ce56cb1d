"""Test providers of development: SMS, Alipay and service clients without a console. Door: `router`."""
