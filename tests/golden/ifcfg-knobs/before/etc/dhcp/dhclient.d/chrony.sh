# a part of chrony
