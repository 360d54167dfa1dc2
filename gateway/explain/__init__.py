"""`gateway explain`: what would happen to one request, and why. The request is played through the real gateway, whose
connections lead nowhere and whose clock is moved by hand; what is printed is what was seen.
"""

from gateway.explain.command import explain_command as explain_command
