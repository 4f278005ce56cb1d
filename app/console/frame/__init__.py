"""What all pages share: their routes, templates, forms, notices, confirmations, assets."""
