# A leader of three, from its election to its first transactions.
> leader 1 of=1,2,3 observers=4 accepted=1 current=1 last=1:3
  nothing
# Its own promise and another's are a quorum. The new epoch is above all that were promised, and told only once it is durable.
> 2 connects accepted=4
  save accepted epoch 5
> 3 connects accepted=1
  nothing
> saved accepted 5
  send to 2 LEADERINFO 5:0
  send to 3 LEADERINFO 5:0
# 2 promises, and with us that is a quorum: both get our history, 3 as soon as it promises.
> 2: ACKEPOCH 1:3 epoch=1
  save current epoch 5
  send to 2 DIFF 1:3
  send to 2 NEWLEADER 5:0
> 3: ACKEPOCH 1:1 epoch=1
  send to 3 DIFF 1:3
  send to 3 PROPOSAL 1:2
  send to 3 COMMIT 1:2
  send to 3 PROPOSAL 1:3
  send to 3 COMMIT 1:3
  send to 3 NEWLEADER 5:0
# 2 has it. We have it too, but not yet the epoch file.
> 2: ACK 5:0
  nothing
> propose 5:1
  refused: leadership is not established
> saved current 5
  established 5
  send to 2 UPTODATE
  send to 2 PING 5:0 answers=0
# We lead. 2 answers again after UPTODATE, which means nothing.
> 2: ACK 5:0
  nothing
> next
  5:1
> propose 5:1
  send to 2 PROPOSAL 5:1
  send to 3 PROPOSAL 5:1
> propose 5:2
  send to 2 PROPOSAL 5:2
  send to 3 PROPOSAL 5:2
> propose 5:4
  refused: not the next zxid
# 3 has not acknowledged our history yet; its COMMITs wait, the PROPOSALs do not.
> 2: ACK 5:1
  nothing
> synced 5:2
  send to 2 COMMIT 5:1
  committed 5:1
> 3: ACK 5:0
  send to 3 UPTODATE
  send to 3 COMMIT 5:1
  send to 3 PING 5:2 answers=0
> 3: ACK 5:2
  send to 2 COMMIT 5:2
  send to 3 COMMIT 5:2
  committed 5:2
# An observer comes late. It gets what is committed, and then is informed.
> propose 5:3
  send to 2 PROPOSAL 5:3
  send to 3 PROPOSAL 5:3
> 4 connects observer accepted=1
  send to 4 LEADERINFO 5:0
> 4: ACKEPOCH 5:1 epoch=-1
  send to 4 DIFF 5:2
  send to 4 PROPOSAL 5:2
  send to 4 COMMIT 5:2
  send to 4 NEWLEADER 5:0
> 4: ACK 5:0
  send to 4 UPTODATE
  send to 4 PING 5:3 answers=0
> synced 5:3
  nothing
> 2: ACK 5:3
  send to 2 COMMIT 5:3
  send to 3 COMMIT 5:3
  send to 4 INFORM 5:3
  committed 5:3
> committed
  5:3
