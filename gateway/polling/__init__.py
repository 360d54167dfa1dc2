"""The parts of `gateway poll`: what to do next, one request, and the lines it prints."""
