# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench/driver.py and the scenarios share."""
