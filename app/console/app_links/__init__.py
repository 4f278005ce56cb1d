"""The public pages behind the links and QR codes that the app opens."""
