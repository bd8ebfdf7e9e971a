> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
# Before NEWLEADER is acknowledged nobody expects an answer.
> PING 2:0 answers=0
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
> pingreply
  nothing
> PING 2:0 answers=0
  pass PING 2:0 answers=0
> pingreply
  send PING 2:0
> fresh
  false
> wait 500
  nothing
> PING 2:0 answers=1
  pass PING 2:0 answers=1
> fresh
  true
> pingreply
  send PING 2:0
> wait 1000
  nothing
> fresh
  true
> PING 2:0 answers=1
  pass PING 2:0 answers=1
> wait 500
  nothing
> fresh
  false
> PING 2:0 answers=2
  pass PING 2:0 answers=2
> fresh
  true
> PING 2:0 answers=4
  abandon: packet that has no place here (PING that counts answers we did not give)
# An Apache leader does not tell; its PINGs must come.
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0 java
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
> fresh
  false
> PING 2:0
  pass PING 2:0
> fresh
  true
> wait 2000
  nothing
> fresh
  false
