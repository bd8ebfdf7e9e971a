# No quorum comes to agree on an epoch.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> wait 10500
  abdicate: no quorum in initLimit
# A learner that says nothing; learners that stay silent; the quorum lost with them.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> 3 connects accepted=1
  send to 3 LEADERINFO 2:0
> wait 5000
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
> wait 500
  close 2: nothing heard in time
  abdicate: lost touch with the quorum
# A quorum whose link broke has a tick to come back.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> drop 2
  nothing
> wait 1000
  nothing
> 2 connects link=22 accepted=2
  send to 22 LEADERINFO 2:0
> 22: ACKEPOCH 1:1 epoch=-1
  send to 22 DIFF 1:1
  send to 22 NEWLEADER 2:0
> 22: ACK 2:0
  send to 22 UPTODATE
  send to 22 PING 2:0 answers=0
> drop 22
  nothing
> wait 1500
  abdicate: lost touch with the quorum
# It answers, but does not acknowledge.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> propose 2:1
  send to 2 PROPOSAL 2:1
> synced 2:1
  nothing
> wait 3000
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
> 2: PING
  pass PING -1
> wait 2500
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  close 2: proposal not acknowledged in time
  abdicate: lost touch with the quorum
# Our own log does not keep the pace (DK10).
> leader 1 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> 2: ACK 2:0
  established 2
  send to 2 UPTODATE
  send to 2 PING 2:0 answers=0
> propose 2:1
  send to 2 PROPOSAL 2:1
> 2: ACK 2:1
  nothing
> wait 3000
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
> 2: PING
  pass PING -1
> wait 2500
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  send to 2 PING 2:1 answers=0
  abdicate: own log cannot keep the pace
> propose 2:2
  refused: leadership is not established
