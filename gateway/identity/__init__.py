"""Who is calling: keys, token verification and what of a token's claims the gateway keeps."""
