"""What ec2net does on an event or for an operator.

One module for each, which reads as its story.
"""
