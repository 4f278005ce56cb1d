"""Real-name verification by outside providers: the interface, and the providers (Alipay, Tencent Cloud).

A provider is a way of proving a name at once (`method` in the API). It knows no user: `app.auth.verification` stores
the attempts and applies the results. No tables, no doors.
"""
