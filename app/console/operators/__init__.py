"""Pages of the platform operators (平台管理): ID cards, recoveries, accounts, clients. They need a security key."""
