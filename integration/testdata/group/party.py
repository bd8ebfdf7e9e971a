"""One member of a party, by kazoo, steered line by line: "join" answers "joined", "members" answers with the identifiers that kazoo sees, sorted,
"leave" answers "left". The end of the input ends the program. Arguments: server, path, Party or ShallowParty, identifier."""
import sys

from kazoo.client import KazooClient
from kazoo.recipe import party

server, path, kind, identifier = sys.argv[1:]
client = KazooClient(hosts=server)
client.start()
member = getattr(party, kind)(client, path, identifier)
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "join":
        member.join()
        print("joined", flush=True)
    elif line.strip() == "members":
        print(" ".join(sorted(member)), flush=True)
    else:
        member.leave()
        print("left", flush=True)
client.stop()
