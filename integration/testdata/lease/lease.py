"""Asks for a kazoo NonBlockingLease as it is told line by line: "lease SECONDS NAME [PATH]" answers "held" or "busy".

Arguments: SERVER PATH. The end of the input ends the program.
"""
import datetime
import sys

from kazoo.client import KazooClient
from kazoo.recipe.lease import NonBlockingLease

client = KazooClient(hosts=sys.argv[1], timeout=10)
client.start(timeout=30)
print("ready", flush=True)
for line in sys.stdin:
    _, seconds, name, *path = line.split()
    lease = NonBlockingLease(client, *(path or sys.argv[2:3]), datetime.timedelta(seconds=float(seconds)), identifier=name)
    print("held" if lease else "busy", flush=True)
client.stop()
