/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_cim_data.c: what a simulated device answers for, as data. Members, their order and values follow recorded answers of a
 * real device; names of the makers and numbers are this project's own.
 */
#include "bench/fleet/sim_cim.h"

#define SERVICE_KEYS          "CreationClassName,Name,SystemCreationClassName,SystemName,"
#define AMT_SYSTEM            "SystemCreationClassName=CIM_ComputerSystem\nSystemName=Intel(r) AMT\n"
#define HOST_SYSTEM           "SystemCreationClassName=CIM_ComputerSystem\nSystemName=ManagedSystem\n"
#define SOFTWARE(id, version) "InstanceID=" id "\nIsEntity=true\nVersionString=" version "\n"
#define HOST_EPR              "CIM_ComputerSystem|CreationClassName=CIM_ComputerSystem|Name=ManagedSystem\n"
#define BOOT_SOURCE(id, string)                                                               \
	"ElementName=Intel(r) AMT: Boot Source\nFailThroughSupported=2\nInstanceID=Intel(r) " \
	"AMT: " id "\nStructuredBootString=" string "\n"

const struct sim_cim_class sim_cim_classes[] = {
	{.name = "AMT_BootCapabilities",
         .keys = "InstanceID,",
         .instances =
                 "BIOSPause=false\nBIOSReflash=true\nBIOSSecureBoot=true\nBIOSSetup="
                 "true\nConfigurationDataReset=false\n"
                 "ElementName=Intel(r) AMT: Boot "
                 "Capabilities\nForceCDorDVDBoot=true\nForceDiagnosticBoot=false\n"
                 "ForceHardDriveBoot=true\nForceHardDriveSafeModeBoot=false\nForcePXEBoot=true\n"
                 "ForcedProgressEvents=true\nIDER=true\nInstanceID=Intel(r) AMT:BootCapabilities "
                 "0\nKeyboardLock=true\n"
                 "PowerButtonLock=false\nResetButtonLock=false\nSOL=true\nSecureErase="
                 "false\nSleepButtonLock=false\n"
                 "UserPasswordBypass=true\nVerbosityQuiet=false\nVerbosityScreenBlank="
                 "false\nVerbosityVerbose=false\n"},
	{.name = "AMT_BootSettingData",
         .keys = "InstanceID,",
         .flags = SIM_CIM_PUT | SIM_CIM_STRICT,
         .instances = "BIOSLastStatus=2\nBIOSLastStatus=0\nBIOSPause=false\nBIOSSetup="
                      "false\nBootMediaIndex=0\n"
                      "BootguardStatus=127\nConfigurationDataReset=false\n"
                      "ElementName=Intel(r) AMT Boot Configuration "
                      "Settings\nEnforceSecureBoot=false\nFirmwareVerbosity=0\n"
                      "ForcedProgressEvents=false\nIDERBootDevice=0\nInstanceID=Intel(r) "
                      "AMT:BootSettingData 0\n"
                      "LockKeyboard=false\nLockPowerButton=false\nLockResetButton="
                      "false\nLockSleepButton=false\n"
                      "OptionsCleared=true\nOwningEntity=Intel(r) "
                      "AMT\nPlatformErase=false\nRPEEnabled=true\nRSEPassword=\n"
                      "ReflashBIOS=false\nSecureBootControlEnabled=true\nSecureErase="
                      "false\nUEFIHTTPSBootEnabled=true\n"
                      "UEFILocalPBABootEnabled=true\nUefiBootNumberOfParams=0\nUseIDER="
                      "false\nUseSOL=false\nUseSafeMode=false\n"
                      "UserPasswordBypass=false\nWinREBootEnabled=true\n",
         .optional = "UefiBootParametersArray,",
         .read_only = "BIOSLastStatus,BootguardStatus,OptionsCleared,WinREBootEnabled,"
                      "UEFILocalPBABootEnabled,"
                      "UEFIHTTPSBootEnabled,SecureBootControlEnabled,RPEEnabled,"},
	{.name = "AMT_EthernetPortSettings",
         .keys = "InstanceID,",
         .flags = SIM_CIM_PUT,
         .instances = "DHCPEnabled=true\nDefaultGateway=192.0.2.1\nElementName=Intel(r) AMT "
                      "Ethernet Port Settings\n"
                      "IPAddress=$address\nInstanceID=Intel(r) AMT Ethernet Port Settings "
                      "0\nIpSyncEnabled=true\nLinkIsUp=true\n"
                      "LinkPolicy=1\nLinkPolicy=14\nMACAddress=$mac\nPhysicalConnectionType="
                      "0\nPrimaryDNS=192.0.2.1\n"
                      "SharedDynamicIP=true\nSharedMAC=true\nSharedStaticIp=false\nSubnetMask=255."
                      "255.255.0\n"
                      "\n"
                      "ConsoleTcpMaxRetransmissions=5\nDHCPEnabled=true\nElementName=Intel(r) AMT "
                      "Ethernet Port Settings\n"
                      "InstanceID=Intel(r) AMT Ethernet Port Settings "
                      "1\nLinkControl=2\nLinkIsUp=false\nLinkPreference=2\n"
                      "MACAddress=00-00-00-00-00-00\nPhysicalConnectionType=3\nSharedMAC="
                      "true\nWLANLinkProtectionLevel=1\n",
         .optional = "SecondaryDNS,VLANTag,"},
	{.name = "AMT_GeneralSettings",
         .keys = "InstanceID,",
         .flags = SIM_CIM_PUT,
         .instances = "AMTNetworkEnabled=1\nDDNSPeriodicUpdateInterval=1440\nDDNSTTL="
                      "900\nDDNSUpdateByDHCPServerEnabled=true\n"
                      "DDNSUpdateEnabled=false\nDHCPSyncRequiresHostname="
                      "1\nDHCPv6ConfigurationTimeout=0\nDigestRealm=$realm\n"
                      "DomainName=$domain\nElementName=Intel(r) AMT: General "
                      "Settings\nHostName=$host\nHostOSFQDN=$fqdn\n"
                      "IdleWakeTimeout=1\nInstanceID=Intel(r) AMT: General "
                      "Settings\nNetworkInterfaceEnabled=true\n"
                      "PingResponseEnabled=true\nPowerSource=0\nPreferredAddressFamily="
                      "0\nPresenceNotificationInterval=0\n"
                      "PrivacyLevel=0\nRmcpPingResponseEnabled=true\nSharedFQDN="
                      "true\nThunderboltDockEnabled=0\n"
                      "WsmanOnlyMode=false\n"},
	{.name = "AMT_RedirectionService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_PUT | SIM_CIM_COMMON,
         .instances = "CreationClassName=AMT_RedirectionService\nElementName=Intel(r) AMT "
                      "Redirection Service\n"
                      "EnabledState=32771\nListenerEnabled=true\nName=Intel(r) AMT Redirection "
                      "Service\n" AMT_SYSTEM},
	{.name = "AMT_SetupAndConfigurationService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=AMT_SetupAndConfigurationService\n"
                      "ElementName=Intel(r) AMT Setup and Configuration Service\nEnabledState=5\n"
                      "Name=Intel(r) AMT Setup and Configuration "
                      "Service\nPasswordModel=1\nProvisioningMode=1\n"
                      "ProvisioningServerOTP=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
                      "\nProvisioningState=2\n"
                      "RequestedState=12\n" AMT_SYSTEM "ZeroTouchConfigurationEnabled=true\n"},
	{.name = "AMT_TimeSynchronizationService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_COMMON,
         .instances =
                 "CreationClassName=AMT_TimeSynchronizationService\n"
                 "ElementName=Intel(r) AMT Time Synchronization "
                 "Service\nEnabledState=5\nLocalTimeSyncEnabled=0\n"
                 "Name=Intel(r) AMT Time Synchronization Service\nRequestedState=12\n" AMT_SYSTEM
                 "TimeSource=0\n"},
	{.name = "AMT_TLSCredentialContext",
         .keys = "ElementInContext,ElementProvidingContext,",
         .flags = SIM_CIM_CREATE | SIM_CIM_DELETE | SIM_CIM_PUT,
         .instances = "",
         .optional = "ElementInContext,ElementProvidingContext,"},
	{.name = "CIM_AssociatedPowerManagementService",
         .keys = "ServiceProvided,UserOfService,",
         .instances = "AvailableRequestedPowerStates=$available\nPowerState=$power\n"
                      "ServiceProvided@CIM_PowerManagementService|CreationClassName=CIM_"
                      "PowerManagementService|"
                      "Name=Intel(r) AMT Power Management "
                      "Service|SystemCreationClassName=CIM_ComputerSystem|"
                      "SystemName=Intel(r) AMT\nUserOfService@" HOST_EPR},
	{.name = "CIM_BIOSElement",
         .keys = "Name,SoftwareElementID,SoftwareElementState,TargetOperatingSystem,Version,",
         .flags = SIM_CIM_COMMON,
         .instances = "ElementName=Primary BIOS\nManufacturer=Causeway Simulations\nName=Primary "
                      "BIOS\nOperationalStatus=0\n"
                      "PrimaryBIOS=true\nReleaseDate#2021-03-15T00:00:00Z\nSoftwareElementID="
                      "CWSIM01.0012.2021.0315\n"
                      "SoftwareElementState=2\nTargetOperatingSystem=66\nVersion=CWSIM01.0012.2021."
                      "0315\n"},
	{.name = "CIM_BootConfigSetting",
         .keys = "InstanceID,",
         .instances = "ElementName=Intel(r) AMT: Boot Configuration\nInstanceID=Intel(r) AMT: Boot "
                      "Configuration 0\n"},
	{.name = "CIM_BootService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=CIM_BootService\nElementName=Intel(r) AMT Boot "
                      "Service\nEnabledState=32768\n"
                      "Name=Intel(r) AMT Boot "
                      "Service\nOperationalStatus=0\nRequestedState=12\n" AMT_SYSTEM},
	{.name = "CIM_BootSourceSetting",
         .keys = "InstanceID,",
         .instances = BOOT_SOURCE("Force Hard-drive Boot", "CIM:Hard-Disk:1") "\n" BOOT_SOURCE(
		 "Force PXE Boot", "CIM:Network:1") "\n" BOOT_SOURCE("Force CD/DVD Boot",
                                                                     "CIM:CD/DVD:1")},
	{.name = "CIM_Card",
         .keys = "CreationClassName,Tag,",
         .flags = SIM_CIM_COMMON,
         .instances = "CanBeFRUed=true\nCreationClassName=CIM_Card\nElementName=Managed System "
                      "Base Board\n"
                      "Manufacturer=Causeway "
                      "Simulations\nModel=CW-BOARD-1\nOperationalStatus=0\nPackageType=9\n"
                      "SerialNumber=B$serial\nTag=CIM_Card\nVersion=A01\n"},
	{.name = "CIM_Chassis",
         .keys = "CreationClassName,Tag,",
         .flags = SIM_CIM_COMMON,
         .instances = "ChassisPackageType=0\nCreationClassName=CIM_Chassis\nElementName=Managed "
                      "System Chassis\n"
                      "Manufacturer=Causeway "
                      "Simulations\nModel=CW-1000\nOperationalStatus=0\nPackageType=3\n"
                      "SerialNumber=$serial\nTag=CIM_Chassis\nVersion=A01\n"},
	{.name = "CIM_Chip",
         .keys = "CreationClassName,Tag,",
         .flags = SIM_CIM_COMMON,
         .instances = "CanBeFRUed=true\nCreationClassName=CIM_Chip\nElementName=Managed System "
                      "Processor Chip\n"
                      "Manufacturer=Causeway Simulations\nOperationalStatus=0\nTag=CPU 0\n"
                      "Version=Simulated CPU @ 2.60GHz\n"},
	{.name = "CIM_ComputerSystem",
         .keys = "CreationClassName,Name,",
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=CIM_ComputerSystem\nElementName=Managed "
                      "System\nEnabledState=5\n"
                      "Name=ManagedSystem\nRequestedState=12\n"
                      "\n"
                      "CreationClassName=CIM_ComputerSystem\nElementName=Intel(r) AMT "
                      "Subsystem\nEnabledState=5\n"
                      "Name=Intel(r) AMT\nRequestedState=12\n"},
	{.name = "CIM_ComputerSystemPackage",
         .keys = "Antecedent,Dependent,",
         .instances = "Antecedent@CIM_Chassis|CreationClassName=CIM_Chassis|Tag=CIM_"
                      "Chassis\nDependent@" HOST_EPR "PlatformGUID=$guidraw\n"},
	{.name = "CIM_EthernetPort",
         .keys = "CreationClassName,DeviceID,SystemCreationClassName,SystemName,",
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=CIM_EthernetPort\nDescription=Wired0\nDeviceID=Intel(r) "
                      "AMT Ethernet Port 0\n"
                      "ElementName=Intel(r) AMT Ethernet "
                      "Port\nEnabledDefault=5\nEnabledState=2\nLinkTechnology=2\n"
                      "MaxSpeed=2500000000\nNetworkAddresses=$machex\nOperationalStatus="
                      "0\nPortType=53\nRequestedState=12\n"
                      "Speed=1000000000\n" AMT_SYSTEM},
	{.name = "CIM_KVMRedirectionSAP",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=CIM_KVMRedirectionSAP\nElementName=KVM Redirection "
                      "Service Access Point\n"
                      "EnabledState=6\nKVMProtocol=4\nName=KVM Redirection Service Access "
                      "Point\nRequestedState=2\n" HOST_SYSTEM},
	{.name = "CIM_PhysicalMemory",
         .keys = "CreationClassName,Tag,",
         .flags = SIM_CIM_COMMON,
         .instances = "BankLabel=BANK 0\nCapacity=17179869184\nConfiguredMemoryClockSpeed=2400\n"
                      "CreationClassName=CIM_PhysicalMemory\nElementName=Managed System Memory "
                      "Chip\nFormFactor=13\n"
                      "IsSpeedInMhz=true\nManufacturer=CW\nMaxMemorySpeed=2400\nMemoryType="
                      "26\nPartNumber=CW16G24\n"
                      "SerialNumber=M$serial\nSpeed=0\nTag=9876543210\n"},
	{.name = "CIM_PowerManagementCapabilities",
         .keys = "InstanceID,",
         .instances =
                 "ElementName=Power Management Capabilities\nInstanceID=Intel(r) "
                 "AMT:PowerManagementCapabilities 0\n"
                 "OtherPowerChangeCapabilities=\nPowerChangeCapabilities="
                 "2\nPowerChangeCapabilities=3\n"
                 "PowerChangeCapabilities=4\nPowerChangeCapabilities=7\nPowerChangeCapabilities=8\n"
                 "PowerStatesSupported=5\nPowerStatesSupported=8\nPowerStatesSupported="
                 "2\nPowerStatesSupported=10\n"
                 "PowerStatesSupported=11\nPowerStatesSupported=12\nPowerStatesSupported=14\n"
                 "RequestedPowerStatesSupported=5\nRequestedPowerStatesSupported="
                 "8\nRequestedPowerStatesSupported=2\n"
                 "RequestedPowerStatesSupported=10\nRequestedPowerStatesSupported=11\n"
                 "RequestedPowerStatesSupported=12\nRequestedPowerStatesSupported=14\n"},
	{.name = "CIM_PowerManagementService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=CIM_PowerManagementService\nElementName=Intel(r) AMT "
                      "Power Management Service\n"
                      "EnabledState=5\nName=Intel(r) AMT Power Management "
                      "Service\nRequestedState=12\n" AMT_SYSTEM},
	{.name = "CIM_Processor",
         .keys = "CreationClassName,DeviceID,SystemCreationClassName,SystemName,",
         .flags = SIM_CIM_COMMON,
         .instances = "CPUStatus=1\nCreationClassName=CIM_Processor\nCurrentClockSpeed="
                      "2600\nDeviceID=CPU 0\n"
                      "ElementName=Managed System "
                      "CPU\nEnabledState=2\nExternalBusClockSpeed=100\nFamily=198\nHealthState=0\n"
                      "MaxClockSpeed=4600\nOperationalStatus=0\nOtherFamilyDescription="
                      "\nRequestedState=12\nRole=Central\n"
                      "Stepping=13\n" HOST_SYSTEM "UpgradeMethod=52\n"},
	{.name = "CIM_ServiceAvailableToElement",
         .items = "CIM_AssociatedPowerManagementService",
         .flags = SIM_CIM_ENUM_ONLY},
	{.name = "CIM_SoftwareIdentity",
         .keys = "InstanceID,",
         .flags = SIM_CIM_COMMON,
         .instances = SOFTWARE("Flash", "$version") "\n" SOFTWARE("Netstack", "$version") "\n" SOFTWARE("AMTApps", "$version") "\n" SOFTWARE("AMT", "$version") "\n" SOFTWARE(
		 "Sku",
		 "16392") "\n" SOFTWARE("VendorID",
                                        "8086") "\n" SOFTWARE("Build Number",
                                                              "$build") "\n" SOFTWARE("Reco"
                                                                                      "very"
                                                                                      " Ver"
                                                                                      "sio"
                                                                                      "n",
                                                                                      "$ver"
                                                                                      "sio"
                                                                                      "n") "\n" SOFTWARE("Recovery Build Num",
                                                                                                         "$build") "\n" SOFTWARE("Legacy Mode",
                                                                                                                                 "False") "\n" SOFTWARE("AMT FW Core Version",
                                                                                                                                                        "$version")},
	{.name = "CIM_SystemPackaging",
         .items = "CIM_ComputerSystemPackage",
         .flags = SIM_CIM_ENUM_ONLY},
	{.name = "IPS_HostBootReason",
         .keys = "InstanceID,",
         .instances = "ElementName=Intel(r) AMT:Host Boot Reason\nInstanceID=Intel(r) AMT:Host "
                      "Boot Reason\n"
                      "PreviousSxState=0\nReason=1\nReasonDetails=\n"},
	{.name = "IPS_OptInService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_PUT | SIM_CIM_COMMON,
         .instances = "CanModifyOptInPolicy=1\nCreationClassName=IPS_OptInService\nElementName="
                      "Intel(r) AMT OptIn Service\n"
                      "Name=Intel(r) AMT OptIn "
                      "Service\nOptInCodeTimeout=120\nOptInDisplayTimeout=300\nOptInRequired=0\n"
                      "OptInState=0\n" AMT_SYSTEM},
	{.name = "IPS_PowerManagementService",
         .keys = SERVICE_KEYS,
         .flags = SIM_CIM_COMMON,
         .instances = "CreationClassName=IPS_PowerManagementService\nElementName=Intel(r) AMT "
                      "Power Management Service\n"
                      "EnabledState=5\nName=Intel(r) AMT Power Management "
                      "Service\nRequestedState=12\n" AMT_SYSTEM "OSPowerSavingState=2\n"},
};

const size_t sim_cim_classes_len = ARRAY_LEN(sim_cim_classes);
