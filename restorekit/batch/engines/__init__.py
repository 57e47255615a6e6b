"""Where a run's pictures are worked on: in this process, in one process for each device, or in a Ray cluster.

Whatever the engine, one process plans, puts finished files in place and writes the manifest. Workers read, restore,
encode and write aside, so that losing one loses nothing that was recorded.
"""
