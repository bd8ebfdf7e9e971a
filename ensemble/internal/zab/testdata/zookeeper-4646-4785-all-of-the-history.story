# The log writes in its own time. What was received before NEWLEADER, committed or not, must all be there (ZOOKEEPER-4646), and
# the epoch file comes last: a server that has the epoch without the history would win elections with it and have the others
# truncated (ZOOKEEPER-4643, -4785).
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:2
  nothing
> PROPOSAL 1:2
  append 1:2
> COMMIT 1:2
  committed 1:2
> PROPOSAL 2:1
  append 2:1
> NEWLEADER 2:0
  nothing
> PROPOSAL 2:2
  append 2:2
> synced 1:2
  nothing
> synced 2:1
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
  send ACK 2:1
> synced 2:2
  send ACK 2:2
