# An Apache server that led an epoch without transactions says that its history ends with that epoch's beginning.
> leader 1 of=1,2,3 accepted=2 current=2 last=1:3
  nothing
> 2 connects java accepted=2
  save accepted epoch 3
> saved accepted 3
  send to 2 LEADERINFO 3:0
> 2: ACKEPOCH 2:0 epoch=1
  save current epoch 3
  send to 2 DIFF 2:0
  send to 2 NEWLEADER 3:0
# The counter of an epoch begins at 1: a leader that begins later has lost something on the way.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0 java
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> PROPOSAL 2:2
  abandon: transaction out of order (after 0x100000001)
