# A server that cannot trust its disk comes as an observer with nothing, and takes only a snapshot. As observer it acknowledges
# nothing but NEWLEADER.
> learner 3 of=1,2,3 untrusted accepted=1 current=1 last=1:4
  nothing
> connected
  send OBSERVERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH -1 epoch=-1
> SNAP 1:3
  install 1:3
> NEWLEADER 2:0
  nothing
> installed 1:3
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
> INFORM 2:1
  append 2:1
  committed 2:1
> synced 2:1
  nothing
> learner 3 of=1,2,3 untrusted accepted=1 current=1 last=1:4
  nothing
> connected
  send OBSERVERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 2
  send ACKEPOCH -1 epoch=-1
> DIFF 1:4
  abandon: packet that has no place here (DIFF for a server without history)
