"""Six-digit codes sent by SMS, and the SMS gateway. Table: `phone_codes`. Door: `router`."""
