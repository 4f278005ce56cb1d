"""Text messages to phones: the messages, the interface of a gateway, and the gateways of providers.

A message is sent after the request's transaction has committed (`BackgroundTasks`), because a gateway is slow and no
transaction may wait for it. If a message is lost, the user requests a new one; nothing else depends on it.
"""
