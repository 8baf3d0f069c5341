"""Steps run in child processes; rows travel between them by value or as blobs.

```
 StepCall ──► PluginHost ──frame──► child process: built-in step ──► files · blobs · database
 StepResult ◄──────────────frame──┘   (own group, empty environment, limits, deadline)
```
No step code is ever imported by the process that hosts them.
"""
