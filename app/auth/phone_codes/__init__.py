"""Six-digit codes sent by SMS, and the SMS gateway. Table: `phone_codes`. Entry point: `router`."""
