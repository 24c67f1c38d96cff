#!/usr/bin/env python3
"""What an engineer on call does to the program, and what it must do then."""
