# The list of committed transactions had holes, since those of the synchronisation did not enter it; a server with such a list
# became leader, and others silently lost transactions. A learner refuses a hole wherever it shows …
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:4
  nothing
> PROPOSAL 1:2
  append 1:2
> PROPOSAL 1:4
  abandon: transaction out of order (after 0x100000002)
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:3
  nothing
> PROPOSAL 1:2
  append 1:2
> PROPOSAL 1:2
  abandon: transaction out of order (after 0x100000002)
# … and after NEWLEADER also a duplicate, a transaction of an older epoch, one of a later epoch, and one with counter 0.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 3:0
  save accepted epoch 3
> saved accepted 3
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> NEWLEADER 3:0
  save current epoch 3
> PROPOSAL 1:1
  abandon: transaction out of order (after 0x100000001)
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 3:0
  save accepted epoch 3
> saved accepted 3
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> NEWLEADER 3:0
  save current epoch 3
> PROPOSAL 2:1
  abandon: transaction out of order (after 0x100000001)
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 3:0
  save accepted epoch 3
> saved accepted 3
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> PROPOSAL 4:1
  abandon: transaction out of order (after 0x100000001)
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 3:0
  save accepted epoch 3
> saved accepted 3
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> PROPOSAL 2:0
  abandon: transaction out of order (after 0x100000001)
# What it learned in synchronisation it can give to others when it leads: see the tests of History.
