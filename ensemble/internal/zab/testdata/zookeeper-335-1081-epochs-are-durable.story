# The epoch is on the leader's disk before anybody hears of it, on a learner's before its promise leaves, and again as the current
# epoch before anybody acknowledges NEWLEADER. So it can never be used twice (ZOOKEEPER-335, -1081, -1282, -1291).
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> 2: ACKEPOCH 1:1 epoch=1
  close 2: packet that has no place here
# (It spoke out of turn.)
> 2 connects link=22 accepted=1
  nothing
> saved accepted 2
  send to 22 LEADERINFO 2:0
> 22: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 22 DIFF 1:1
  send to 22 NEWLEADER 2:0
> 22: ACK 2:0
  nothing
> saved current 1
  nothing
> saved current 2
  established 2
  send to 22 UPTODATE
  send to 22 PING 2:0 answers=0
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0
  save accepted epoch 2
> saved accepted 1
  nothing
> saved accepted 2
  send ACKEPOCH 1:1 epoch=1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
