# A follower acknowledged NEWLEADER with the transactions of DIFF in memory only; the whole quorum lost power, and what clients had
# read was gone. Here the acknowledgement waits for the log.
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
> NEWLEADER 2:0
  nothing
> wait 2000
  nothing
> saved current 2
  nothing
> synced 1:2
  save current epoch 2
> saved current 2
  send ACK 2:0
