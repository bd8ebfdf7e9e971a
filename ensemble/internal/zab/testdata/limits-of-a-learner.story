# Nobody answers the call; the leader says nothing; it falls silent later.
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> wait 10500
  abandon: nothing heard in time
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> wait 9000
  nothing
> connected
  send FOLLOWERINFO 1:0
> wait 9000
  nothing
> LEADERINFO 2:0
  save accepted epoch 2
> wait 9000
  nothing
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> wait 9000
  nothing
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
> wait 5000
  nothing
> UPTODATE
  send ACK 2:0
  established 2
> wait 4500
  nothing
> PING 2:0 answers=0
  pass PING 2:0 answers=0
> wait 5500
  abandon: nothing heard in time
> PING 2:0 answers=0
  nothing
