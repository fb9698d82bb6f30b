"""What the lessons draw and count beside their steps; nothing here reaches a stored number.

`drawing` and `measures` serve the lessons of the stages (00 to 05), the other modules those from 30 on. Nothing here
draws from torch's global random numbers or changes a model that a run goes on with, so that a lesson may look at any
moment of it (tests/test_lessons.py; lib.evidence.fingerprint says what is hashed and what is not).
"""
