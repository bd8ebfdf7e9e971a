"""Meets others with kazoo as it is told line by line: "enter PATH" answers "in", "leave" answers "left".

Arguments: SERVER NUMBER. The end of the input ends the program.
"""
import sys

from kazoo.client import KazooClient

client = KazooClient(hosts=sys.argv[1], timeout=10)
client.start(timeout=30)
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "enter":
        barrier = client.DoubleBarrier(words[1], int(sys.argv[2]))
        barrier.enter()
        print("in" if barrier.participating else "out", flush=True)
    else:
        barrier.leave()
        print("left", flush=True)
client.stop()
