"""`make chaos`: cases in which something goes wrong at full size, against a real gateway process, with what must hold
then asserted: counts, and the time limits that no other test may assert. RELIABILITY rows are named by each case.
"""
