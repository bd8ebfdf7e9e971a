# The same with TRUNC: nothing is appended before log and memory end at the cut.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:5 epoch=1
> TRUNC 1:3
  truncate 1:3
> PROPOSAL 1:4
  nothing
> COMMIT 1:4
  nothing
> NEWLEADER 2:0
  nothing
> synced 1:5
  nothing
> truncated 1:3
  append 1:4
  committed 1:4
> synced 1:4
  save current epoch 2
> saved current 2
  send ACK 2:0
# A truncation that fails (ZOOKEEPER-3701) is not swallowed.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:5 epoch=1
> TRUNC 1:3
  truncate 1:3
> truncation failed 1:3
  abandon: what is on disk cannot be cut there
> PROPOSAL 1:4
  nothing
