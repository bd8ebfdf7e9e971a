"""Counts with kazoo as it is told line by line: "add N" answers what the counter became, "get" what it is.

Arguments: SERVER PATH, of a counter in Curator's form. The end of the input ends the program.
"""
import sys

from kazoo.client import KazooClient

client = KazooClient(hosts=sys.argv[1], timeout=10)
client.start(timeout=30)
counter = client.Counter(sys.argv[2], support_curator=True)
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "add":
        counter += int(words[1])
        print(counter.post_value, flush=True)
    else:
        print(counter.value, flush=True)
client.stop()
