"""`flexcore bench peers`: the same commands on other event stores, run by run in turn."""
