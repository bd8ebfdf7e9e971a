# A leader that is not established has committed nothing, proposes nothing and takes no requests.
> leader 1 of=1,2,3 accepted=1 current=1 last=1:3
  nothing
> propose 2:1
  refused: leadership is not established
> fresh
  false
> barrier
  round 1
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 2 LEADERINFO 2:0
> 2: ACKEPOCH 1:3 epoch=1
  save current epoch 2
  send to 2 DIFF 1:3
  send to 2 NEWLEADER 2:0
> saved current 2
  nothing
> propose 2:1
  refused: leadership is not established
> 2: REQUEST
  close 2: packet that has no place here
> 3 connects accepted=1
  send to 3 LEADERINFO 2:0
> 3: ACKEPOCH 1:3 epoch=1
  send to 3 DIFF 1:3
  send to 3 NEWLEADER 2:0
> 3: ACK 2:0
  established 2
  send to 3 UPTODATE
  send to 3 PING 2:0 answers=0
> committed
  1:3
> 3: PING
  pass PING -1
  send to 3 PING 2:0 answers=1
  confirmed 1
