"""What each event does to a call, by where the call stands: layers of `Serve`, each of which knows those below it."""
