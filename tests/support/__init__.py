"""What the end-to-end tests stand on: the scripted upstream, the server under test, the API."""
